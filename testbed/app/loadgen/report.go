package main

import (
	"slices"
	"time"
)

// report is what the run found. Times are Unix seconds; latencies are of answered requests, in milliseconds.
type report struct {
	URL          string             `json:"url"`
	RatePerS     float64            `json:"rate_per_s"`
	Keepalive    int                `json:"keepalive"`
	StartedUnixS float64            `json:"started_unix_s"`
	DurationS    float64            `json:"duration_s"`
	Sent         int                `json:"sent"`
	Succeeded    int                `json:"succeeded"`
	Failed       int                `json:"failed"`
	ByKind       map[string]int     `json:"by_kind"`
	ByVersion    map[string]int     `json:"by_version"`
	LatencyMs    map[string]float64 `json:"latency_ms"`
	FirstFailure *float64           `json:"first_failure_unix_s"`
	LastFailure  *float64           `json:"last_failure_unix_s"`
	Examples     []string           `json:"examples"`

	started   time.Time
	latencies []time.Duration
}

func newReport(p plan, started time.Time) *report {
	return &report{
		URL: p.url, RatePerS: p.rate, Keepalive: p.pool, StartedUnixS: unix(started), started: started,
		ByKind: map[string]int{}, ByVersion: map[string]int{}, LatencyMs: map[string]float64{}, Examples: []string{},
	}
}

func (r *report) add(o outcome) {
	r.Sent++
	if o.version != "" {
		r.ByVersion[o.version]++
	}
	if o.kind == "" {
		r.Succeeded++
		r.latencies = append(r.latencies, o.took)
		return
	}
	r.Failed++
	r.ByKind[o.kind]++
	at := unix(o.at)
	if r.FirstFailure == nil || at < *r.FirstFailure {
		r.FirstFailure = &at
	}
	if r.LastFailure == nil || at > *r.LastFailure {
		r.LastFailure = &at
	}
	if o.detail != "" && len(r.Examples) < 5 {
		r.Examples = append(r.Examples, o.detail)
	}
}

func (r *report) finish(now time.Time) {
	r.DurationS = now.Sub(r.started).Seconds()
	if len(r.latencies) == 0 {
		return
	}
	slices.Sort(r.latencies)
	for name, share := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1} {
		r.LatencyMs[name] = float64(percentile(r.latencies, share).Microseconds()) / 1000
	}
}

// percentile takes a sorted list that is not empty.
func percentile(sorted []time.Duration, share float64) time.Duration {
	index := int(share*float64(len(sorted))+0.5) - 1
	return sorted[max(0, min(index, len(sorted)-1))]
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
