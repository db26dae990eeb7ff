-- From here on PostgreSQL itself keeps every version and gives every load its point.
DO $$
DECLARE
    versioned text;
    changed text;
BEGIN
    FOREACH versioned IN ARRAY ARRAY[
        'bars', 'bar_flags', 'symbol_identities', 'securities', 'security_tickers', 'splits', 'dividends', 'adjustment_factors'
    ] LOOP
        -- That a security was looked up again changes nothing about it.
        changed := CASE versioned
            WHEN 'securities' THEN
                '(OLD.name, OLD.type, OLD.composite_figi, OLD.share_class_figi, OLD.cik) IS DISTINCT FROM '
                '(NEW.name, NEW.type, NEW.composite_figi, NEW.share_class_figi, NEW.cik)'
            ELSE 'OLD.* IS DISTINCT FROM NEW.*'
        END;
        EXECUTE 'ALTER TABLE ' || versioned || ' ALTER COLUMN load_id SET DEFAULT current_load(), '
            || 'ALTER COLUMN load_id SET NOT NULL';
        EXECUTE 'CREATE TRIGGER ' || versioned || '_replaced BEFORE UPDATE ON ' || versioned
            || ' FOR EACH ROW WHEN (' || changed || ') EXECUTE FUNCTION keep_version()';
        EXECUTE 'CREATE TRIGGER ' || versioned || '_deleted BEFORE DELETE ON ' || versioned
            || ' FOR EACH ROW EXECUTE FUNCTION keep_version()';
    END LOOP;
END;
$$;

CREATE TRIGGER tracked_symbols_identity AFTER INSERT OR DELETE OR UPDATE OF symbol, asset_class, calendar, security_id
    ON tracked_symbols FOR EACH ROW EXECUTE FUNCTION keep_identity();
CREATE CONSTRAINT TRIGGER loads_point AFTER INSERT ON loads DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.point IS NULL) EXECUTE FUNCTION take_point();
