-- Text in lower case by Unicode's rules, whatever the database's own collation. The two letters whose lower case depends
-- on the server or on the letters around them are the same everywhere: İ becomes two characters, and a final sigma is
-- a sigma like any other, so that a text is found within a longer one.
do $do$
declare
    -- PostgreSQL's own rules, from version 17 on; before that, those of the ICU library that it is built with.
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
