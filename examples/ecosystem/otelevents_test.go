package ecosystem_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// otelHandler is a slog.Handler for kalshi.WithLogger. It counts the SDK's events,
// to alert on, and adds each to the span of the call that it belongs to.
type otelHandler struct {
	slog.Handler // the bot's own log
	events       metric.Int64Counter
}

// Handle implements slog.Handler. The messages are few and stay as they are
// documented; the attributes, such as IDs, are too many for labels of a metric.
func (h otelHandler) Handle(ctx context.Context, r slog.Record) error {
	h.events.Add(ctx, 1, metric.WithAttributes(attribute.String("event", r.Message), attribute.String("level", r.Level.String())))
	var attrs []attribute.KeyValue
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, attribute.String(a.Key, a.Value.String()))
		return true
	})
	trace.SpanFromContext(ctx).AddEvent(r.Message, trace.WithAttributes(attrs...))
	return h.Handler.Handle(ctx, r)
}

// The clocks are an hour apart. The SDK corrects that, and the bot's operator sees
// it in the metrics and in the trace of the call.
func TestOTel_Events(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	exchange.SetClockOffset(time.Hour)
	_, traces, spans := newTraced()
	reader := sdkmetric.NewManualReader()
	events, err := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("my bot").Int64Counter("kalshi.events")
	require.NoError(t, err)
	logger := slog.New(otelHandler{slog.NewTextHandler(t.Output(), nil), events})
	client := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}}, kalshi.WithLogger(logger))

	ctx, span := traces.Tracer("my bot").Start(t.Context(), "check keys")
	_, err = client.GetAPIKeys(ctx)
	require.NoError(t, err)
	span.End()

	var metrics metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &metrics))
	require.NotEmpty(t, metrics.ScopeMetrics, "nothing was counted")
	counted := map[string]int64{}
	for _, point := range metrics.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64]).DataPoints {
		event, _ := point.Attributes.Value("event")
		counted[event.AsString()] = point.Value
	}
	assert.Equal(t, int64(1), counted["kalshi: clock corrected"], "%v", counted)

	require.Len(t, spans.GetSpans(), 1)
	var texts []string
	for _, event := range spans.GetSpans()[0].Events {
		texts = append(texts, event.Name)
	}
	assert.Contains(t, texts, "kalshi: clock corrected")
	assert.NotContains(t, textOf(t, spans), exchange.Requests()[0].Header.Get("KALSHI-ACCESS-SIGNATURE"))
}
