-- The file of votes: rows are only added; an undo is a row whose `undoes` names the vote.
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS votes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE,
  at REAL NOT NULL,
  reviewer TEXT NOT NULL,
  role TEXT NOT NULL,
  kind TEXT NOT NULL,
  item TEXT NOT NULL,
  hash TEXT NOT NULL,
  action TEXT NOT NULL,
  correctness INTEGER,
  helpfulness INTEGER,
  harm INTEGER,
  comment TEXT NOT NULL,
  edit TEXT NOT NULL,
  sides TEXT NOT NULL,
  seconds REAL,
  undoes TEXT UNIQUE
);
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON votes
  BEGIN SELECT RAISE(ABORT, 'votes are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON votes
  BEGIN SELECT RAISE(ABORT, 'votes are never changed'); END;
CREATE INDEX IF NOT EXISTS votes_by_kind ON votes (kind, reviewer);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT OR IGNORE INTO about VALUES ('salt', lower(hex(randomblob(16))));
PRAGMA user_version = 2;
PRAGMA application_id = 1296650838;
COMMIT;
