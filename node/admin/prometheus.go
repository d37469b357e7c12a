package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"zoolab/node/metrics"
)

// scrape collects the figures of mntr under Apache's names for Prometheus: gauges,
// counters, and summaries with quantiles. The members of a set have the label key.
type scrape struct{ v *View }

// Describe implements prometheus.Collector. It names nothing, since sets have new members
// at any time.
func (s scrape) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s scrape) Collect(out chan<- prometheus.Metric) {
	for _, g := range s.v.gauges() {
		labels, key := label(g.key)
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(g.name, g.name, labels, nil), prometheus.GaugeValue, asFloat(g.value), key...)
	}
	s.v.Metrics.Each(func(m *metrics.Value) {
		labels, key := label(m.Key)
		desc := prometheus.NewDesc(m.Name, m.Name, labels, nil)
		if m.Kind == metrics.KindCounter {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(m.Count), key...)
			return
		}
		quantiles := map[float64]float64{0.5: m.Quantile(0.5)}
		if m.Kind == metrics.KindQuantiles {
			quantiles[0.9], quantiles[0.99] = m.Quantile(0.9), m.Quantile(0.99)
		}
		out <- prometheus.MustNewConstSummary(desc, uint64(m.Count), m.Sum, quantiles, key...)
	})
}

// label is what tells a set's member apart; none for a metric that is no set.
func label(key string) (names, values []string) {
	if key == "" {
		return nil, nil
	}
	return []string{"key"}, []string{key}
}

func asFloat(value any) float64 {
	switch value := value.(type) {
	case int:
		return float64(value)
	case int64:
		return float64(value)
	case uint64:
		return float64(value)
	case float64:
		return value
	}
	panic("admin: a gauge is no number")
}

// Prometheus returns the handler of scrapes. With runtime it also tells of the Go runtime
// and the process, in place of what Apache's tells of the Java machine.
func (v *View) Prometheus(runtime bool) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(scrape{v})
	if runtime {
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes,
	}))
	return mux
}

// maxScrapes bounds the scrapes that are answered at once.
const maxScrapes = 4
