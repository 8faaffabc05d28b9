package gateway

import (
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/route"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// snapshot is one configuration, compiled and immutable.
type snapshot struct {
	config *config.Config
	peers  *peer.Table
	routes *route.Table
	trust  *trust.Set
}

// Check returns everything that is wrong with a configuration whose shape has
// been judged by config.Load: files, peers that could be taken for one another,
// routes that can never work. Start does all that and opens sockets.
func Check(cfg *config.Config) []config.Problem {
	_, problems := build(cfg, trust.Options{})
	return problems
}

// build compiles a configuration, or says all that is wrong with it.
func build(cfg *config.Config, o trust.Options) (*snapshot, []config.Problem) {
	set, problems := o.Load(cfg)
	problems = append(problems, peer.Check(cfg)...)
	problems = append(problems, route.Check(cfg)...)
	if len(problems) > 0 {
		config.SortProblems(problems)
		return nil, problems
	}
	peers := peer.Compile(cfg, nil)
	return &snapshot{config: cfg, peers: peers, routes: route.Compile(cfg, peers), trust: set}, nil
}
