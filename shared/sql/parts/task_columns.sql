    out id uuid, out number bigint, out user_id text, out title text, out description text,
    out due_date timestamptz, out completed boolean, out completed_at timestamptz,
    out created_at timestamptz, out updated_at timestamptz, out revision bigint
