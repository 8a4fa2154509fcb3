-- Drills: which players of a known group have proved that their Tocs still open, and when each Toc last did. Every `sealed`
-- column is sealed by the service; times are Unix milliseconds.

CREATE TABLE drills (
    number     INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    group_fp   BLOB    NOT NULL REFERENCES known_groups (group_fp) ON DELETE CASCADE,
    size       INTEGER NOT NULL CHECK (size BETWEEN 2 AND 255),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    remind_at  INTEGER,                                             -- when those are told next who wait for answers
    ended_at   INTEGER,
    ended_as   TEXT    CHECK (ended_as IN ('closed', 'complete', 'expired')),
    sealed     BLOB    NOT NULL,                                    -- the call
    CHECK ((ended_at IS NULL) = (ended_as IS NULL))
) STRICT;

-- One at a time: whoever answers answers all that is asked.
CREATE UNIQUE INDEX drills_running ON drills (group_fp) WHERE ended_at IS NULL;

CREATE INDEX drills_of_group ON drills (group_fp);

CREATE INDEX drills_ending ON drills (expires_at) WHERE ended_at IS NULL;

CREATE INDEX drills_over ON drills (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE drill_answers (
    drill  INTEGER NOT NULL REFERENCES drills (number) ON DELETE CASCADE,
    x      INTEGER NOT NULL CHECK (x BETWEEN 1 AND 255),
    at     INTEGER NOT NULL,
    sealed BLOB    NOT NULL,                                        -- the signature
    PRIMARY KEY (drill, x)
) STRICT, WITHOUT ROWID;

-- The last proof of each Toc, in a drill or a session: it outlives both.
CREATE TABLE toc_proofs (
    group_fp BLOB    NOT NULL REFERENCES known_groups (group_fp) ON DELETE CASCADE,
    x        INTEGER NOT NULL CHECK (x BETWEEN 1 AND 255),
    at       INTEGER NOT NULL,
    sealed   BLOB    NOT NULL,                                      -- in what
    PRIMARY KEY (group_fp, x)
) STRICT, WITHOUT ROWID;
