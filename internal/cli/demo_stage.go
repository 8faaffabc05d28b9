package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/recorder"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/internal/web"
)

// demoStage is what the demo plays on: its files, the gateway with its API, and
// the peers.
type demoStage struct {
	site    *demoSite
	gateway *gateway.Gateway
	admin   *api.Server
	peers   *demoPeers
}

// newDemoStage opens everything. A port that was free when the configuration
// was written may be taken by now, by another demo for instance; others are
// tried then.
func (a *app) newDemoStage(o demoOptions, keys io.Writer) (*demoStage, error) {
	for tries := 3; ; tries-- {
		s, err := a.openDemoStage(o, keys)
		if err == nil {
			return s, nil
		}
		err = errors.Join(err, s.close())
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "listen" || tries == 0 {
			return nil, err
		}
		os.RemoveAll(s.site.dir)
	}
}

// openDemoStage returns what it has opened, also when that is not all.
func (a *app) openDemoStage(o demoOptions, keys io.Writer) (*demoStage, error) {
	s := &demoStage{}
	var err error
	if s.site, err = newDemoSite(); err != nil {
		return s, err
	}
	cfg, problems := config.Load(s.site.config)
	if len(problems) > 0 {
		return s, a.report(problems)
	}
	g, problems := gateway.New(cfg, gateway.Options{
		TLS:      trust.Options{MinVersion: o.version, MaxVersion: o.version},
		Recorder: recorder.Config{KeyLog: keys},
	})
	if len(problems) > 0 {
		return s, a.report(problems)
	}
	if err := g.Start(); err != nil {
		return s, err
	}
	s.gateway = g
	if s.admin, err = api.Start(g, api.Options{Page: web.Handler()}); err != nil {
		return s, err
	}
	s.peers, err = startDemoPeers(s.site, o.version)
	return s, err
}

// close ends what is open. The files stay.
func (s *demoStage) close() error {
	within, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if s.peers != nil {
		s.peers.close()
	}
	err := s.admin.Close(within)
	if s.gateway != nil {
		err = errors.Join(err, s.gateway.Close(within))
	}
	return err
}
