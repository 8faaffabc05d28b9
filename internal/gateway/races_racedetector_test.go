//go:build race

package gateway

const leftOut = 2
