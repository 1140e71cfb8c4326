-- Whether a version of a task or a list is one of the given versions. A null among the revisions matches any
-- version.
create function task_api_functions.is_among(
    p_revision bigint,
    p_updated_at timestamptz,
    p_revisions bigint[],
    p_times timestamptz[]
)
returns boolean language sql immutable
return exists (
    select
    from unnest(p_revisions, p_times) as v (revision, updated_at)
    where v.revision is null
       or v.revision = p_revision and v.updated_at = p_updated_at
);
