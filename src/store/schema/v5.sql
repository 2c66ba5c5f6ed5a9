-- When a source's list prices were read last, whether it told any or none.
ALTER TABLE source ADD COLUMN prices_read_at TEXT;
