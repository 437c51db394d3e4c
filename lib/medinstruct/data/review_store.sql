-- The file of votes: rows are only added; an undo is a row whose `undoes` names the vote.
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS votes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  undoes TEXT UNIQUE,
  vote TEXT NOT NULL CHECK (json_valid(vote)) -- all fields of the vote
);
CREATE VIEW IF NOT EXISTS valid AS SELECT * FROM votes WHERE undoes IS NULL
  AND uid NOT IN (SELECT undoes FROM votes WHERE undoes IS NOT NULL);
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON votes
  BEGIN SELECT RAISE(ABORT, 'votes are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON votes
  BEGIN SELECT RAISE(ABORT, 'votes are never changed'); END;
CREATE INDEX IF NOT EXISTS votes_by_kind ON votes (kind);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT OR IGNORE INTO about VALUES ('salt', lower(hex(randomblob(16))));
PRAGMA user_version = 3;
PRAGMA application_id = 1296650838;
COMMIT;
