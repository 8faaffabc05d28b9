#!/usr/bin/env bash
# What is checked without running the product: format, vet, modernisation, static analysis, known vulnerabilities,
# citations of RFCs, generated files. Every check runs; the exit status is 1 when one of them found something.
set -u
cd "$(dirname "$0")/.."
failed=0

# check NAME COMMAND...: runs the command; it must succeed.
check() {
	printf -- '-- %s\n' "$1"
	shift
	"$@" || { printf -- '   FAILED: %s\n' "$*"; failed=1; }
}

unformatted() {
	local files
	files=$(gofmt -l $(git ls-files '*.go'))
	[ -z "$files" ] || { printf 'gofmt would change:\n%s\n' "$files"; return 1; }
}

# What git sees of the tree: equal before and after means that nothing was changed.
tree() { { git status --porcelain; git diff; } | sha256sum; }

generated() {
	local before after
	before=$(tree)
	make --no-print-directory generate || return
	after=$(tree)
	[ "$before" = "$after" ] || { echo 'generated files were out of date: commit what "make generate" makes'; git status --porcelain; return 1; }
}

# The vulnerability database is on the network: without it there is nothing to compare with, and that is said.
vulnerabilities() {
	local out
	out=$(timeout 120 go tool -modfile=tools/go.mod govulncheck ./... 2>&1)
	local status=$?
	if printf '%s' "$out" | grep -q 'fetching vulnerabilities'; then
		echo 'skipped: the vulnerability database cannot be reached from here'
		return 0
	fi
	printf '%s\n' "$out"
	return $status
}

# The page is made from ui/ by npm, and what it makes is committed: the same has to come out again. Without npm, or with a Node that
# Vite does not run on, there is nothing to compare with, and that is said.
page() {
	command -v npm >/dev/null || { echo 'skipped: there is no npm'; return 0; }
	node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' ||
		{ echo "skipped: Vite needs Node 20.19, 22.12 or later, and this is $(node --version)"; return 0; }
	local before after
	before=$(tree)
	npm --prefix ui ci --ignore-scripts --no-audit --no-fund --loglevel=error || return
	npm --prefix ui run --silent check || return
	npm --prefix ui run --silent build -- --logLevel error || return
	after=$(tree)
	[ "$before" = "$after" ] || { echo 'internal/web/dist is not what ui/ makes: commit what "npm --prefix ui run build" makes'; git status --porcelain internal/web; return 1; }
}

check gofmt unformatted
check 'go vet' go vet ./...
check 'go vet -tags interop' go vet -tags interop ./e2e/ ./internal/callflow/export/ ./internal/gateway/
check 'go fix' go fix -diff ./...
check 'go mod tidy' go mod tidy -diff
check staticcheck go tool -modfile=tools/go.mod staticcheck ./...
check 'staticcheck -tags interop' go tool -modfile=tools/go.mod staticcheck -tags interop ./e2e/ ./internal/callflow/export/ ./internal/gateway/
check 'go vet: interop' go -C interop vet ./...
check 'go vet: examples' go -C examples vet ./...
check 'go mod tidy: interop' go -C interop mod tidy -diff
check 'go mod tidy: examples' go -C examples mod tidy -diff
check 'tools: vet, test' bash -c 'go -C tools vet ./... && go -C tools test ./...'
check 'RFC citations' go -C tools run ./rfcxref
check 'go generate' generated
check 'the page' page
check govulncheck vulnerabilities
exit $failed
