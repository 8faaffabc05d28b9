//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop is the driver's one thread of control: it waits for sockets and for the next call's start, hands messages to
// the side they belong to, and writes each connection once a round. Everything but the making of connections runs
// in it, so nothing locks.
//
// It waits in epoll by itself instead of leaving that to the runtime, for two reasons: the runtime's waits are a
// millisecond coarse, which would bunch the calls; and an ordinary system call after each wake-up costs the driver
// about as much as the message.
type loop struct {
	epoll   int
	base    time.Time
	links   map[int32]link
	touched []link
	events  [64]unix.EpollEvent
	arrived chan link // connections that the accepting goroutine has made ready
	lost    []string  // why connections ended, in order
}

// link is a socket that carries messages: a UDP socket, or a connection.
type link interface {
	fd() int
	// open returns the buffer to append one message to; done takes it back. The loop writes it at the end of its round.
	open() []byte
	done(b []byte)
	// ready reads what has come and hands each message to the link's side.
	ready() error
	flush() error
	// waiting says that the last flush could not write everything.
	waiting() bool
	mark() (first bool) // notes that the link has something to write
}

// side is one end of the calls.
type side interface {
	handle(k link, m *message)
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{epoll: fd, base: time.Now(), links: make(map[int32]link), arrived: make(chan link, 64)}, nil
}

func (l *loop) close() { _ = unix.Close(l.epoll) }

// now is the time since the loop was made.
func (l *loop) now() time.Duration { return time.Since(l.base) }

func (l *loop) add(k link) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(k.fd())}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, k.fd(), &ev); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	l.links[int32(k.fd())] = k
	return nil
}

// touch notes that k has something to write.
func (l *loop) touch(k link) {
	if k.mark() {
		l.touched = append(l.touched, k)
	}
}

// wait sleeps until a socket is ready or d has passed, and handles what came.
func (l *loop) wait(d time.Duration) error {
	ts := unix.NsecToTimespec(max(d, 0).Nanoseconds())
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])),
		uintptr(len(l.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno == unix.EINTR {
		n, errno = 0, 0
	}
	if errno != 0 {
		return os.NewSyscallError("epoll_pwait2", errno)
	}
	for _, ev := range l.events[:n] {
		k := l.links[ev.Fd]
		if k == nil {
			continue
		}
		if ev.Events&unix.EPOLLOUT != 0 {
			l.touch(k)
		}
		if ev.Events&^unix.EPOLLOUT != 0 {
			if err := k.ready(); err != nil {
				l.drop(k, err)
			}
		}
	}
	select {
	case k := <-l.arrived:
		if err := l.add(k); err != nil {
			return err
		}
		if err := k.ready(); err != nil { // the handshake may have read on into the first messages
			l.drop(k, err)
		}
	default:
	}
	return nil
}

// flush writes every touched link.
func (l *loop) flush() {
	for _, k := range l.touched {
		was := k.waiting()
		if err := k.flush(); err != nil {
			l.drop(k, err)
			continue
		}
		if is := k.waiting(); is != was {
			ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(k.fd())}
			if is {
				ev.Events |= unix.EPOLLOUT
			}
			if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, k.fd(), &ev); err != nil {
				l.drop(k, err)
			}
		}
	}
	l.touched = l.touched[:0]
}

func (l *loop) drop(k link, why error) {
	if _, ok := l.links[int32(k.fd())]; !ok {
		return
	}
	delete(l.links, int32(k.fd()))
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, k.fd(), nil)
	l.lost = append(l.lost, why.Error())
}

// alive says whether k is still served.
func (l *loop) alive(k link) bool { return l.links[int32(k.fd())] == k }

// errClosed is a peer's ordinary end of a connection.
var errClosed = errors.New("closed by the element")
