-- What bounds a player who answers again and again, and finds the redeals of a source that nobody has fetched.

ALTER TABLE tocs ADD COLUMN replaced BIGINT NOT NULL DEFAULT 0;       -- times that the player of the slot has replaced it

CREATE INDEX sessions_redealt ON sessions (source) WHERE closed_as = 'redealt';
