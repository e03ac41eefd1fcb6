package main

import (
	"io"
	"net/http"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// serve adds to the stand-in what it does not have by itself. The exchange's
// responses have more fields.
func serve(standIn *kalshitest.Server) {
	reply := func(body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		})
	}
	standIn.Handle("GET /trade-api/v2/portfolio/balance", reply(`{"balance":123456}`))
	standIn.Handle("GET /trade-api/v2/portfolio/positions", reply(
		`{"cursor":"","market_positions":[{"ticker":"KXRAIN-26DEC01","position_fp":"12.00"},{"ticker":"KXSNOW-26DEC01","position_fp":"-5.00"}]}`))
	standIn.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
}
