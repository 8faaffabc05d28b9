package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// tableName is the database in the data directory.
const tableName = "cdr.db"

// errFull stands for SQLite's own word for a full disk.
var errFull = errors.New("no space left for the table")

// A db is one connection to the database. It is used without database/sql: one goroutine has it, and a statement then
// costs half.
type db struct {
	driver.Conn
	version int64 // of the tables
}

// openDB connects to the database in dir. The path goes through a URI, so that no character of it means anything.
func openDB(dir, mode string, pragmas ...string) (*db, error) {
	path, err := filepath.Abs(filepath.Join(dir, tableName))
	if err != nil {
		return nil, err
	}
	q := url.Values{"mode": {mode}, "_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	if mode == "immutable" {
		q = url.Values{"mode": {"ro"}, "immutable": {"1"}}
	}
	path = filepath.ToSlash(path)
	if path[0] != '/' { // a drive letter
		path = "/" + path
	}
	connector, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	c, err := connector.Connect(context.Background())
	if err != nil {
		return nil, named(err)
	}
	return &db{Conn: c}, nil
}

// named gives SQLite's error for a full disk a name.
func named(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code()&0xff == sqlite3.SQLITE_FULL {
		return fmt.Errorf("%w: %w", errFull, err)
	}
	return err
}

// exec runs a statement without a result.
func (d *db) exec(query string, args ...any) error {
	_, err := d.Conn.(driver.ExecerContext).ExecContext(context.Background(), query, values(args))
	return named(err)
}

// A stmt is a statement that is run often.
type stmt struct {
	driver.Stmt
	args []driver.NamedValue // of the last run
}

func (d *db) prepare(query string) (*stmt, error) {
	s, err := d.Prepare(query)
	if err != nil {
		return nil, named(err)
	}
	return &stmt{Stmt: s}, nil
}

func (s *stmt) exec(args ...any) error {
	s.args = appendValues(s.args[:0], args)
	_, err := s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), s.args)
	return named(err)
}

// each calls f with every row of a query, until f returns false. The row is valid until then.
func (d *db) each(query string, f func(row []driver.Value) (more bool, err error), args ...any) error {
	rows, err := d.Conn.(driver.QueryerContext).QueryContext(context.Background(), query, values(args))
	if err != nil {
		return named(err)
	}
	defer rows.Close()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(row); err == io.EOF {
			return nil
		} else if err != nil {
			return named(err)
		}
		if more, err := f(row); err != nil || !more {
			return err
		}
	}
}

// number runs a query whose result is one number, 0 when it is none.
func (d *db) number(query string, args ...any) (int64, error) {
	var n int64
	err := d.each(query, func(row []driver.Value) (bool, error) {
		n, _ = row[0].(int64)
		return false, nil
	}, args...)
	return n, err
}

func values(args []any) []driver.NamedValue { return appendValues(nil, args) }

func appendValues(to []driver.NamedValue, args []any) []driver.NamedValue {
	for i, v := range args {
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		to = append(to, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return to
}
