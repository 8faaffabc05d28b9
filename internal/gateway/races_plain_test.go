//go:build !race

package gateway

const leftOut = 0
