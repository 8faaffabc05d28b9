//go:build !unix

package interop

import "time"

// processorTime is not known here.
func processorTime() time.Duration { return 0 }
