package member

import (
	"context"
	"runtime/debug"
	"time"

	"zoolab/node/metrics"
)

// watchPauses sleeps for short times and measures how late it wakes up. What delays it
// delays everything else here, too: the scheduler with more to do than processors, the
// collector, a machine that was suspended or has lent its processor elsewhere.
func (m *Member) watchPauses(ctx context.Context) {
	p := m.cfg.Pause
	if !p.Monitor {
		return
	}
	var before, after debug.GCStats
	debug.ReadGCStats(&before)
	sleep := time.Duration(p.SleepMs) * time.Millisecond
	timer := time.NewTimer(sleep)
	defer timer.Stop()
	for began := time.Now(); ; began = time.Now() {
		timer.Reset(sleep)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		late := time.Since(began) - sleep
		m.metrics.Pause.Observe(late.Microseconds())
		log := m.log.Info
		switch {
		case late > time.Duration(p.WarnMs)*time.Millisecond:
			log = m.log.Warn
		case late <= time.Duration(p.InfoMs)*time.Millisecond:
			continue
		}
		debug.ReadGCStats(&after)
		log("the process or its machine paused", "for", late.Round(time.Millisecond),
			"collections", after.NumGC-before.NumGC, "collectorPause", after.PauseTotal-before.PauseTotal)
		before = after
	}
}

// rotateMetrics lets quantiles forget.
func (m *Member) rotateMetrics(ctx context.Context) {
	every := time.NewTicker(metrics.SpanSeconds * time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			m.metrics.Rotate()
		}
	}
}
