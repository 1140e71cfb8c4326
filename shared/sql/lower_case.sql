-- Converts text to lower case by Unicode's rules, independently of the database's collation. Two letters are
-- replaced so that the result never depends on the server or on neighboring letters: İ becomes i and a
-- combining dot, and a final sigma becomes a normal one. So a search also finds text in the middle of a
-- longer one.
do $do$
declare
    -- PostgreSQL's own collation, which exists from version 17; before that, the one of its ICU library.
    v_collation text := coalesce(
        (
            select quote_ident(c.collname)
            from pg_catalog.pg_collation c
            where c.collname = 'pg_c_utf8'
              and c.collnamespace = 'pg_catalog'::regnamespace
        ),
        '"und-x-icu"'
    );
begin
    execute format(
        $format$
            create function task_api_functions.lower_case(p_text text)
            returns text language sql immutable
            return pg_catalog.replace(
                pg_catalog.lower(pg_catalog.replace(p_text, U&'\0130', U&'i\0307') collate pg_catalog.%s),
                U&'\03C2', U&'\03C3'
            );
        $format$,
        v_collation
    );
end
$do$;
