// Package store keeps what must outlive the process: the records of calls.
package store
