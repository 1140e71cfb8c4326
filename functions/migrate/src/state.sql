-- Returns the statements that establish what a dump doesn't contain or an operator may have changed: roles,
-- rights, policies, and who owns the functions. Each is needed, so a database in the right state returns
-- none. Two walls between users depend on it: each statement of the SQL functions filters by the caller's id,
-- and the functions run as the role task_api, for which row-level security shows only the rows of the user
-- named in app.user_id. A third is the role task_api_endpoints, which may only call the functions.
--
-- $1 is the schema of this build's functions, $2 their number, and $3 their text.
with
-- The roles. Endpoints log in as the second, once it has a password and the right to.
roles (name, options) as (
    values ('task_api', 'nologin'), ('task_api_endpoints', 'nologin noinherit')
),
role as (
    select r.*, r.oid::regrole as role
    from roles
    join pg_roles r on r.rolname = roles.name
),
-- The tables with the rights of task_api, the columns that it may update if not all, and the rows that are
-- its user's. Without app.user_id, current_setting is null or empty, and no row belongs to anybody.
tables (name, rights, columns, own_rows, new_rows) as (
    values
        ('users', '{SELECT,INSERT,UPDATE,DELETE}'::text[], null,
         'id = current_setting(''app.user_id'', true)', null),
        ('tasks', '{SELECT,INSERT,UPDATE,DELETE}', null,
         'user_id = current_setting(''app.user_id'', true)', null),
        ('deleted_tasks', '{SELECT,INSERT,UPDATE,DELETE}', null,
         'user_id = current_setting(''app.user_id'', true)', null),
        ('idempotency_keys', '{SELECT,INSERT,UPDATE,DELETE}', null,
         'user_id = current_setting(''app.user_id'', true)', null),
        -- Anybody's next erasure removes the rows that are no longer needed.
        ('erased_users', '{SELECT,INSERT,UPDATE,DELETE}', null,
         'id_hash = sha256(convert_to(current_setting(''app.user_id'', true), ''UTF8'')) '
         'or erased_at < now() - ''00:05:00''::interval',
         'id_hash = sha256(convert_to(current_setting(''app.user_id'', true), ''UTF8''))'),
        ('function_schemas', '{SELECT}', 'last_used', null, null)
),
relation as (
    select t.*, 'public.' || t.name as full_name, t.name || '_own' as policy, c.oid, c.relowner, c.relacl,
           c.relrowsecurity, c.relforcerowsecurity
    from tables t
    join pg_class c on c.oid = to_regclass('public.' || t.name)
),
-- What PostgreSQL adds to an expression, not the same in every version: parentheses, casts and spaces.
canonical (noise) as (
    values ('[()\s]|::\w+')
),
policy as (
    select p.*, r.name as table_name,
           regexp_replace(lower(pg_get_expr(p.polqual, p.polrelid)), noise, '', 'g') as own_rows,
           regexp_replace(lower(pg_get_expr(p.polwithcheck, p.polrelid)), noise, '', 'g') as new_rows
    from pg_policy p
    join relation r on r.oid = p.polrelid
    cross join canonical
),
-- The rights of public and the two roles on tables, columns, the schema public and the database.
granted as (
    select case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee,
           a.privilege_type as privilege, o.kind, o.name
    from (
        select 'table', r.name, r.relacl from relation r
        union all
        select 'column', r.name, c.attacl from relation r join pg_attribute c on c.attrelid = r.oid
        union all
        select 'schema', n.nspname, n.nspacl from pg_namespace n where n.nspname = 'public'
        union all
        select 'database', d.datname, coalesce(d.datacl, acldefault('d', d.datdba))
        from pg_database d
        where d.datname = current_database()
    ) as o (kind, name, acl)
    cross join aclexplode(o.acl) as a
    where a.grantee = 0 or a.grantee in (select role.oid from role)
),
-- Functions of all versions, each in a schema of its own.
schemas as (
    select n.oid, n.nspname as name, n.nspowner = to_regrole('task_api') as is_owned
    from pg_namespace n
    where n.nspname = $1::text or n.nspname in (select s.name from public.function_schemas s)
),
function as (
    select p.pronamespace as schema,
           p.proowner is distinct from to_regrole('task_api')
               or has_function_privilege('public', p.oid, 'execute') as is_open,
           has_function_privilege(to_regrole('task_api_endpoints'), p.oid, 'execute') as is_called,
           p.prosecdef,
           strpos($3::text, p.prosrc) > 0 as is_unchanged
    from pg_proc p
),
version (is_16) as (
    select current_setting('server_version_num')::integer >= 160000
),
missing (step, statement) as (
    select 1, format('create role %s %s', name, options)
    from roles
    where to_regrole(name) is null

    union all
    select 2, format('alter role %s %s', role, changes)
    from role
    cross join concat_ws(
        ' ',
        case when rolsuper then 'nosuperuser' end,
        case when rolbypassrls then 'nobypassrls' end,
        case when rolcreaterole then 'nocreaterole' end,
        case when rolcreatedb then 'nocreatedb' end,
        case when rolreplication then 'noreplication' end,
        case when rolcanlogin and rolname = 'task_api' then 'nologin' end
    ) as changes
    where changes <> ''

    union all
    -- Membership in roles, also through others, that have the rights of a superuser or can read the tables.
    select 3, format('revoke %s from %s', m.roleid::regrole, m.member::regrole)
              || case when is_16 then format(' granted by %s', m.grantor::regrole) else '' end
    from version, pg_auth_members m
    join role on role.oid = m.member
    where exists (
        select
        from pg_roles r
        where pg_has_role(m.roleid, r.oid, 'member')
          and (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolreplication or r.rolname ^@ 'pg_'
               or exists (
                   select
                   from relation t
                   where has_table_privilege(r.oid, t.oid, 'select, insert, update, delete, truncate')
               ))
    )

    union all
    -- migrate takes on the role task_api to install the functions.
    select 4, format('grant task_api to %I', current_user) || case when is_16 then ' with set true' else '' end
    from version
    where not pg_has_role(current_user, to_regrole('task_api'), case when is_16 then 'set' else 'member' end)

    union all
    -- Row-level security doesn't apply to a table's owner, and must not hide rows from migrate.
    select 5, format('alter table %s owner to %I', full_name, current_user)
    from relation
    where relowner in (select oid from role) or not pg_has_role(current_user, relowner, 'usage')

    union all
    select 6, format('alter table %s enable row level security, no force row level security', full_name)
    from relation
    where own_rows is not null and (not relrowsecurity or relforcerowsecurity)

    union all
    select 7, format('drop policy if exists %1$s on %2$s; create policy %1$s on %2$s to task_api using (%3$s)',
                     r.policy, r.full_name, r.own_rows) || coalesce(' with check (' || r.new_rows || ')', '')
    from relation r
    cross join canonical
    where r.own_rows is not null
      and not exists (
          select
          from policy p
          where p.polrelid = r.oid
            and p.polname = r.policy
            and p.polcmd = '*'
            and p.polpermissive
            and p.polroles = array[to_regrole('task_api')::oid]
            and p.own_rows = regexp_replace(lower(r.own_rows), noise, '', 'g')
            and p.new_rows is not distinct from regexp_replace(lower(r.new_rows), noise, '', 'g')
      )

    union all
    -- A row that any of several policies shows is visible.
    select 8, format('drop policy %I on public.%s', p.polname, p.table_name)
    from policy p
    where p.polname <> p.table_name || '_own'
      and p.polpermissive
      and (0 = any (p.polroles) or to_regrole('task_api')::oid = any (p.polroles))

    union all
    select distinct 9, format('revoke all on public.%s from public, task_api_endpoints', name)
    from granted
    where kind in ('table', 'column') and grantee <> 'task_api'

    union all
    -- TRUNCATE, for example, is not subject to row-level security.
    select 9, format('revoke %s on public.%s from task_api', string_agg(lower(privilege), ', ' order by privilege), name)
    from granted
    where kind = 'table'
      and grantee = 'task_api'
      and not exists (select from relation r where r.name = granted.name and granted.privilege = any (r.rights))
    group by name

    union all
    -- The default of a database includes the right to create temporary tables.
    select 9, format('revoke %s on %s %I from %s', lower(privilege), kind, name, grantee)
    from granted
    where kind in ('schema', 'database') and privilege in ('CREATE', 'TEMPORARY')

    union all
    -- migrate then installs this build's functions again. So does, for others, the migrate of their version.
    select 10, format('drop schema %I cascade', s.name)
    from schemas s
    where exists (select from function f where f.schema = s.oid and f.is_open)
       or s.name = $1 and (
           s.is_owned is not true
           or has_schema_privilege(to_regrole('task_api_endpoints'), s.oid, 'usage') is not true
           or (select count(*) <> $2::bigint from function f where f.schema = s.oid)
           or exists (
               select
               from function f
               where f.schema = s.oid
                 and (f.is_called is distinct from f.prosecdef or not f.is_unchanged)
           )
       )

    union all
    select 11, 'grant usage on schema public to task_api'
    where not exists (select from granted where kind = 'schema' and grantee = 'task_api' and privilege = 'USAGE')

    union all
    select 11, format('grant %s on %s to task_api', string_agg(lower(p), ', ' order by p), full_name)
    from relation r
    cross join unnest(r.rights) as p
    where not exists (
        select
        from granted g
        where g.kind = 'table' and g.name = r.name and g.grantee = 'task_api' and g.privilege = p
    )
    group by full_name

    union all
    select 11, format('grant update (%s) on %s to task_api', columns, full_name)
    from relation
    where columns is not null
      and has_column_privilege(to_regrole('task_api'), oid, columns, 'update') is not true
)
select statement from missing order by step, statement
