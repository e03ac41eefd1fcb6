package ecosystem_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
)

const fixTime = "20060102-15:04:05.000"

// logonFields returns the fields of a FIX logon (MsgType A), by tag, for a FIX
// engine to send. Call it for each attempt: the exchange accepts a SendingTime for
// 30 seconds. It accepts no SenderSubID (50). The key needs the scopes read and
// write::trade, and may have one connection.
func logonFields(signer *kalshi.Signer, msgSeqNum int, targetCompID string) (map[int]string, error) {
	for {
		keyID, sendingTime := signer.KeyID(), time.Now().UTC().Format(fixTime)
		rawData, err := signer.SignFIXLogon(sendingTime, msgSeqNum, targetCompID)
		if err != nil {
			return nil, err
		}
		if keyID == signer.KeyID() { // else the key was rotated meanwhile
			return map[int]string{
				34: strconv.Itoa(msgSeqNum),
				49: keyID, // SenderCompID
				52: sendingTime,
				56: targetCompID,
				95: strconv.Itoa(len(rawData)),
				96: rawData,
			}, nil
		}
	}
}

// The exchange verifies RawData against the other fields.
func TestFIX_Logon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		public, private, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		signer, err := kalshi.NewSigner("key-id", private)
		require.NoError(t, err)
		for attempt := range 2 {
			time.Sleep(time.Minute) // no time at all: this is synctest
			fields, err := logonFields(signer, attempt+1, "EXCHANGE")
			require.NoError(t, err)
			assert.Equal(t, time.Now().UTC().Format(fixTime), fields[52])
			signature, err := base64.StdEncoding.DecodeString(fields[96])
			require.NoError(t, err)
			text := strings.Join([]string{fields[52], "A", fields[34], fields[49], fields[56]}, "\x01")
			assert.True(t, ed25519.Verify(public, []byte(text), signature))
		}
	})
}
