// Package store keeps what must outlive the process: the records of calls, CDRs, in the data directory.
//
// A gateway opens a Store and puts every state of a record into it; anybody reads with Query and Follow, also beside a
// running gateway and after one was killed. Reading starts at Store in store.go, which says the way of a record:
//
//	Put ─► pending (memory) ─► journal: two files, written in turn ─► table: SQLite ─► deleted after Keep
//	       store.go            write.go, journal.go, encode.go        move.go, schema.go
//
// The journal makes records durable for little: one write and one sync for all of 10 ms. The table is what others read; a
// record goes there when its journal file is full or five seconds old, so that a short call is one row written, not
// three. How rows are found again without indexes on numbers and Call-IDs is in part.go.
//
// A Store has two goroutines, the writer's and the mover's, and Close waits for both. Whoever puts never waits for them.
package store
