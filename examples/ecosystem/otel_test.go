package ecosystem_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/httptrace/otelhttptrace"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// newTraced returns an http.Client that makes a span of every attempt, for
// WithHTTPClient: otelhttp is below the SDK. It also returns the provider of its
// tracer, and where the spans are collected.
func newTraced(opts ...otelhttp.Option) (*http.Client, *sdktrace.TracerProvider, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	opts = append(opts,
		otelhttp.WithTracerProvider(provider),
		otelhttp.WithPropagators(propagation.TraceContext{}), // adds a header, which the signature does not cover
	)
	return &http.Client{Transport: otelhttp.NewTransport(&http.Transport{}, opts...)}, provider, spans
}

// A call that is retried has two spans, both children of the bot's own.
func TestOTel_SpanPerAttempt(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	hc, provider, spans := newTraced()
	client := newClient(t, signer, exchange.URL, hc)
	exchange.Inject(kalshitest.Fault{Status: http.StatusServiceUnavailable})

	ctx, parent := provider.Tracer("my bot").Start(t.Context(), "check keys")
	_, err := client.GetAPIKeys(ctx)
	require.NoError(t, err)

	got := spans.GetSpans() // the parent has not ended and is not among them
	require.Len(t, got, 2)
	for i, want := range []int64{http.StatusServiceUnavailable, http.StatusOK} {
		assert.Equal(t, parent.SpanContext().SpanID(), got[i].Parent.SpanID())
		assert.Equal(t, want, attributeOf(got[i], "http.response.status_code").AsInt64())
		assert.Equal(t, exchange.URL+"/api_keys", attributeOf(got[i], "url.full").AsString())
		assert.Contains(t, exchange.Requests()[i].Header.Get("Traceparent"), got[i].SpanContext.SpanID().String())
	}
}

// The requests through HTTPClient have their spans too. Here the clocks are an
// hour apart: the SDK learns it from the first attempt and makes a second one.
func TestOTel_HTTPClient(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	exchange.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(serveBalance))
	exchange.SetClockOffset(time.Hour)
	hc, _, spans := newTraced()
	client := newClient(t, signer, exchange.URL, hc)

	resp, err := client.HTTPClient().Get(client.BaseURL() + "/portfolio/balance")
	require.NoError(t, err)
	require.NoError(t, kalshi.CheckResponse(resp))
	require.NoError(t, resp.Body.Close()) // ends the span

	got := spans.GetSpans()
	require.Len(t, got, 2)
	assert.Equal(t, int64(http.StatusUnauthorized), attributeOf(got[0], "http.response.status_code").AsInt64())
	assert.Equal(t, int64(http.StatusOK), attributeOf(got[1], "http.response.status_code").AsInt64())
	assert.NotContains(t, textOf(t, spans), signer.KeyID())
}

// Spans hold no header, no key ID and no private key. otelhttp records the whole
// URL, and with it the ID of a key that is deleted; an ID is no secret.
func TestOTel_NoSecretsInSpans(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	hc, _, spans := newTraced()
	client := newClient(t, signer, exchange.URL, hc)

	key, err := client.GenerateAPIKey(t.Context(), newKey)
	require.NoError(t, err)
	require.NoError(t, client.DeleteAPIKey(t.Context(), key.ID))

	require.Len(t, spans.GetSpans(), 2)
	text := textOf(t, spans)
	assert.NotContains(t, text, signer.KeyID())
	for _, req := range exchange.Requests() {
		assert.NotContains(t, text, req.Header.Get("KALSHI-ACCESS-SIGNATURE"))
		assert.NotContains(t, text, req.Header.Get("KALSHI-ACCESS-TIMESTAMP"))
	}
	for _, line := range strings.Fields(key.PrivateKey.Reveal() + exchange.PrivateKey) {
		assert.NotContains(t, text, line)
	}
	assert.Contains(t, text, "/api_keys/"+key.ID)
}

// WARNING: otelhttptrace records request headers, and does not know that these
// are credentials. Redact them, or use WithoutHeaders.
func TestOTel_RedactHeadersInClientTrace(t *testing.T) {
	t.Parallel()
	redacted := otelhttptrace.WithRedactedHeaders("KALSHI-ACCESS-KEY", "KALSHI-ACCESS-SIGNATURE")
	tests := []struct {
		name       string
		opts       []otelhttptrace.ClientTraceOption
		wantLeaked bool
	}{
		{"with the defaults", nil, true},
		{"redacted", []otelhttptrace.ClientTraceOption{redacted}, false},
		{"without headers", []otelhttptrace.ClientTraceOption{otelhttptrace.WithoutHeaders()}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			exchange, signer := newExchange(t)
			hc, _, spans := newTraced(otelhttp.WithClientTrace(func(ctx context.Context) *httptrace.ClientTrace {
				return otelhttptrace.NewClientTrace(ctx, tt.opts...)
			}))
			client := newClient(t, signer, exchange.URL, hc)

			_, err := client.GetAPIKeys(t.Context())
			require.NoError(t, err)
			text := textOf(t, spans)
			signature := exchange.Requests()[0].Header.Get("KALSHI-ACCESS-SIGNATURE")
			assert.Equal(t, tt.wantLeaked, strings.Contains(text, signature), "signature")
			assert.Equal(t, tt.wantLeaked, strings.Contains(text, signer.KeyID()), "key ID")
		})
	}
}

// The SDK uses httptrace too, to know whether a create request can have been
// sent. Traces are composed: each gets its events.
func TestOTel_CreateThatWasNotSent(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	hc, _, spans := newTraced(otelhttp.WithClientTrace(func(ctx context.Context) *httptrace.ClientTrace {
		return otelhttptrace.NewClientTrace(ctx, otelhttptrace.WithoutHeaders())
	}))
	client := newClient(t, signer, exchange.URL, hc, kalshi.WithMaxRetries(0))
	exchange.Close() // refuses connections from here on

	_, err := client.GenerateAPIKey(t.Context(), newKey)
	require.Error(t, err)
	var unknown *kalshi.OutcomeUnknownError
	assert.NotErrorAs(t, err, &unknown)
	assert.Contains(t, textOf(t, spans), "http.connect", "the bot's own trace")
}

func attributeOf(span tracetest.SpanStub, key attribute.Key) attribute.Value {
	for _, kv := range span.Attributes {
		if kv.Key == key {
			return kv.Value
		}
	}
	return attribute.Value{}
}

// textOf returns everything in the spans: names, attributes, events, errors.
func textOf(t *testing.T, spans *tracetest.InMemoryExporter) string {
	t.Helper()
	text, err := json.Marshal(spans.GetSpans())
	require.NoError(t, err)
	return string(text)
}
