# Everything that CI runs, by the same names. Each target is a line or two; the longer ones are scripts in tools/.

# A plain "make" names the targets.
help:
	@echo build test race fuzz e2e interop bench generate check cross

.PHONY: help build test race fuzz e2e interop bench generate check cross

build:
	go build -o bin/sallyport ./cmd/sallyport

# The examples are a module of their own, because they show the library from outside.
test:
	go test ./...
	go -C examples test ./...

race:
	CGO_ENABLED=1 go test -race -shuffle=on ./...

# FUZZTIME is the time that each target gets.
fuzz:
	bash tools/fuzz.sh $(or $(FUZZTIME),5s)

# The built binary, driven by scripts: e2e/testdata/*.txtar.
e2e:
	go test -count=1 ./e2e/

# The built binary against SIPp, stunnel, baresip, Kamailio, openssl and tshark, and our parser against other implementations.
# These tests wait more than they compute, so that eight may run at once.
interop:
	go test -count=1 -tags interop -parallel 8 -timeout 15m ./e2e/ ./internal/callflow/export/ ./internal/metrics/
	go test -count=1 -tags interop -run Tshark ./internal/gateway/
	go -C interop test -count=1 ./...

bench:
	go test -run '^$$' -bench . -benchtime $(or $(BENCHTIME),1x) ./...

generate:
	go generate ./...
	go -C tools run ./rfcxref -w

check:
	bash tools/check.sh

cross:
	bash tools/cross.sh
