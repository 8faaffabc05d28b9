#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given (default 5s). What one finds stays in its package's
# testdata/fuzz, to be committed with the repair.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5s}
targets=0
while IFS=: read -r file name; do
	targets=$((targets + 1))
	printf -- '-- %s %s\n' "$(dirname "$file")" "$name"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$(dirname "$file")"
done < <(git ls-files '*_test.go' | grep -v '^\(interop\|tools\)/' | xargs grep -o '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //')
printf '%d fuzz targets, %s each\n' "$targets" "$time"
[ "$targets" -gt 0 ]
