package store

import "fmt"

// schema is what makes the database: step i brings version i to version i+1 (PRAGMA user_version). A change of the
// tables is a new step at the end; a step that was released is never changed. docs/operate/cdr.md tells of the columns of calls.
var schema = []string{
	`CREATE TABLE calls (
		seq INTEGER PRIMARY KEY,
		id TEXT NOT NULL,
		entry INTEGER NOT NULL,
		state TEXT NOT NULL,
		began INTEGER NOT NULL,
		answered INTEGER,
		ended INTEGER,
		caller TEXT NOT NULL,
		called TEXT NOT NULL,
		route TEXT,
		in_peer TEXT,
		in_call_id TEXT,
		out_peer TEXT,
		out_call_id TEXT,
		targets INTEGER NOT NULL,
		ended_by TEXT,
		sip INTEGER,
		q850 INTEGER,
		cause TEXT,
		record TEXT NOT NULL
	);
	CREATE INDEX still_open ON calls(seq) WHERE state IN ('open', 'answered');
	CREATE TABLE parts (
		first INTEGER PRIMARY KEY,
		last INTEGER NOT NULL,
		calls INTEGER NOT NULL,
		began_from INTEGER NOT NULL,
		began_to INTEGER NOT NULL,
		bloom BLOB NOT NULL
	);
	CREATE TABLE moved (
		one INTEGER PRIMARY KEY CHECK (one = 1),
		entry INTEGER NOT NULL,
		at INTEGER NOT NULL
	);
	INSERT INTO moved VALUES (1, 0, 0)`,

	`CREATE TABLE handshakes (
		seq INTEGER PRIMARY KEY,
		at INTEGER NOT NULL,
		kind INTEGER NOT NULL,
		peer TEXT NOT NULL,
		address TEXT NOT NULL,
		listener TEXT NOT NULL,
		role TEXT NOT NULL,
		outcome TEXT NOT NULL,
		code TEXT NOT NULL,
		ours BLOB,
		theirs BLOB,
		record TEXT NOT NULL
	);
	CREATE INDEX handshakes_by_kind ON handshakes(kind, seq);
	CREATE TABLE chains (
		sum BLOB PRIMARY KEY,
		der BLOB NOT NULL
	);
	CREATE TABLE seen (
		peer TEXT NOT NULL,
		role TEXT NOT NULL,
		accepted INTEGER NOT NULL,
		at INTEGER NOT NULL,
		chain BLOB NOT NULL,
		PRIMARY KEY (peer, role, accepted)
	) WITHOUT ROWID`,

	`ALTER TABLE calls ADD COLUMN run TEXT;
	ALTER TABLE calls ADD COLUMN call INTEGER;
	ALTER TABLE calls ADD COLUMN reasons TEXT;
	ALTER TABLE parts ADD COLUMN words BLOB`,
}

// migrate brings the database to this program's version.
func (d *db) migrate() error {
	version, err := d.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if version > int64(len(schema)) {
		return fmt.Errorf("%s is of version %d, written by a newer sallyport; this one knows version %d: use the newer one, or move the file away", tableName, version, len(schema))
	}
	for ; version < int64(len(schema)); version++ {
		if err := d.within(func() error {
			if err := d.exec(schema[version]); err != nil {
				return err
			}
			return d.exec(fmt.Sprintf("PRAGMA user_version = %d", version+1))
		}); err != nil {
			return fmt.Errorf("bring %s to version %d: %w", tableName, version+1, err)
		}
	}
	d.version = version
	return nil
}

// within runs f in a transaction.
func (d *db) within(f func() error) error {
	if err := d.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := f(); err != nil {
		d.exec("ROLLBACK")
		return err
	}
	if err := d.exec("COMMIT"); err != nil {
		d.exec("ROLLBACK")
		return err
	}
	return nil
}

const upsertCall = `INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (seq) DO UPDATE SET entry = excluded.entry, state = excluded.state, began = excluded.began,
answered = excluded.answered, ended = excluded.ended, caller = excluded.caller, called = excluded.called,
route = excluded.route, in_peer = excluded.in_peer, in_call_id = excluded.in_call_id, out_peer = excluded.out_peer,
out_call_id = excluded.out_call_id, targets = excluded.targets, ended_by = excluded.ended_by, sip = excluded.sip,
q850 = excluded.q850, cause = excluded.cause, record = excluded.record,
run = excluded.run, call = excluded.call, reasons = excluded.reasons`

const upsertPart = `INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (first) DO UPDATE SET last = excluded.last, calls = excluded.calls, began_from = excluded.began_from,
began_to = excluded.began_to, bloom = excluded.bloom, words = excluded.words`
