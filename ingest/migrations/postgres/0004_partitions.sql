-- Partitions that come and go beside readers: pg_dump holds every table for as long as it takes.

-- Makes the partition of a table for these slots, unless there is one. Attaching it lets readers and writers of the
-- table go on, which creating it as a partition does not.
CREATE OR REPLACE FUNCTION add_partition(parent text, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    child text := parent || '_' || low;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('perijove ' || parent));
    IF to_regclass(quote_ident(child)) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
            child, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, child, low, high);
    END IF;
END $$;

-- The partitions of a table all of whose rows are older.
CREATE FUNCTION old_partitions(parent text, before timestamptz) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    child text;
    old boolean;
BEGIN
    FOR child IN
        SELECT relation.oid::regclass::text FROM pg_inherits
        JOIN pg_class relation ON relation.oid = inhrelid
        WHERE inhparent = to_regclass(quote_ident(parent)) ORDER BY relation.oid
    LOOP
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %1$s) AND NOT EXISTS (SELECT FROM %1$s WHERE time >= $1)',
            child) INTO old USING before;
        IF old THEN
            RETURN NEXT child;
        END IF;
    END LOOP;
END $$;

-- Drops one of them, if all of its rows still are older. That needs the whole table for a moment: writers wait behind
-- who waits for it, so it gives up early while somebody reads.
CREATE FUNCTION drop_partition(parent text, child text, before timestamptz) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    kept boolean;
BEGIN
    -- Not two processes at once, nor while one makes the partition again.
    PERFORM pg_advisory_xact_lock(hashtext('perijove ' || parent));
    IF to_regclass(child) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %I, %s IN ACCESS EXCLUSIVE MODE', parent, child);
    EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE time >= $1)', child) INTO kept USING before;
    IF NOT kept THEN
        EXECUTE format('DROP TABLE %s', child);
    END IF;
    RETURN NOT kept;
END $$;
