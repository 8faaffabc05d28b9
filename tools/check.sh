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

check gofmt unformatted
check 'go vet' go vet ./...
check 'go vet -tags interop' go vet -tags interop ./e2e/ ./internal/callflow/export/
check 'go fix' go fix -diff ./...
check 'go mod tidy' go mod tidy -diff
check staticcheck go tool -modfile=tools/go.mod staticcheck ./...
check 'staticcheck -tags interop' go tool -modfile=tools/go.mod staticcheck -tags interop ./e2e/ ./internal/callflow/export/
check 'go vet: interop' go -C interop vet ./...
check 'go vet: examples' go -C examples vet ./...
check 'go mod tidy: interop' go -C interop mod tidy -diff
check 'go mod tidy: examples' go -C examples mod tidy -diff
check 'tools: vet, test' bash -c 'go -C tools vet ./... && go -C tools test ./...'
check 'RFC citations' go -C tools run ./rfcxref
check 'go generate' generated
check govulncheck vulnerabilities
exit $failed
