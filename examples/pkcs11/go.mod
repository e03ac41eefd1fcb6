module github.com/seed251d1451/kalshi-go/examples/pkcs11

go 1.26.0

replace github.com/seed251d1451/kalshi-go => ../..

require (
	github.com/ThalesGroup/crypto11 v1.5.0
	github.com/miekg/pkcs11 v1.1.1
	github.com/seed251d1451/kalshi-go v0.0.0-00010101000000-000000000000
)

require (
	github.com/pkg/errors v0.9.1 // indirect
	github.com/thales-e-security/pool v0.0.2 // indirect
)
