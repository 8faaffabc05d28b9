package gateway

import (
	"path/filepath"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/history"
)

// historyDir is where the history is, under the data directory.
const historyDir = "history"

// History returns what is kept of flows on the disk. It may be nil, which can be asked for flows all the same: it says that there are none.
func (g *Gateway) History() *history.History { return g.history }

// openHistory begins to keep what the recorder sees. The store is open, so nobody else writes in the data directory.
func (g *Gateway) openHistory(cfg *config.Config) (err error) {
	dir := filepath.Join(cfg.Data, historyDir)
	g.history, err = history.Open(history.Options{
		Dir: dir, Run: g.recorder.Run(), Gateway: g.options.Recorder.Gateway, Source: g.recorder.Cursor(), Limits: historyLimits(&cfg.History), Log: g.log,
		Alarm: func(err error) {
			if err == nil {
				g.alarms.clear("history")
				return
			}
			g.alarms.raise("history", err.Error(), "make room on the disk of "+dir+", or lower history: size")
		},
	})
	return err
}

// historyLimits are what a configuration says of the history.
func historyLimits(c *config.History) history.Limits {
	return history.Limits{
		Off: !c.Keep, Bytes: int64(c.Size), Age: c.Age.Duration,
		NoCalls: !c.Keeps(config.HistoryCalls), NoRequests: !c.Keeps(config.HistoryRequests), NoHandshakes: !c.Keeps(config.HistoryHandshakes),
		MaskNumbers: c.Numbers == config.NumbersMasked,
	}
}

// limitHistory puts the limits of a new configuration into force.
func (g *Gateway) limitHistory(cfg *config.Config) {
	if g.history != nil {
		g.history.Limit(historyLimits(&cfg.History))
	}
}

func (g *Gateway) closeHistory() error {
	if g.history == nil {
		return nil
	}
	return g.history.Close()
}
