#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given (default 5s). What one finds stays in its package's
# testdata/fuzz, to be committed with the repair.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5s}
targets=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz PACKAGE TARGET. A worker that was still busy when the time was over is reported by go as a failure without an
# input; that alone is none.
fuzz() {
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" 2>&1 | tee "$log" && return
	if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
		echo 'the time was over before a worker ended: no failing input'
		return
	fi
	return 1
}

while IFS=: read -r file name; do
	targets=$((targets + 1))
	printf -- '-- %s %s\n' "$(dirname "$file")" "$name"
	fuzz "./$(dirname "$file")" "$name"
done < <(git ls-files '*_test.go' | grep -v '^\(interop\|tools\)/' | xargs grep -oH '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //')
printf '%d fuzz targets, %s each\n' "$targets" "$time"
[ "$targets" -gt 0 ]
