//! Reads the result of a call: a composite value with the SQL function's output columns in order.

use std::error::Error;

use tokio_postgres::{
    Row,
    types::{FromSql, Type},
};

/// The fields of a composite that have not been read yet, in PostgreSQL's binary format.
#[derive(Clone, Copy)]
pub(super) struct Composite<'a>(&'a [u8]);

impl<'a> From<&'a Row> for Composite<'a> {
    fn from(row: &'a Row) -> Self {
        row.get(0)
    }
}

impl<'a> FromSql<'a> for Composite<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::try_from(raw)?)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::RECORD
    }
}

impl<'a> TryFrom<&'a [u8]> for Composite<'a> {
    type Error = &'static str;

    fn try_from(raw: &'a [u8]) -> Result<Self, &'static str> {
        // The number of fields comes first. It is skipped because the reader relies on the definition of the
        // function or table.
        Ok(Self(raw.get(4..).ok_or("the composite has no field count")?))
    }
}

impl<'a> Composite<'a> {
    /// Reads the next field.
    ///
    /// # Panics
    /// If there is no next field or it has another type. Both are bugs, because the functions' SQL belongs to
    /// this build.
    pub(super) fn read<T: FromSql<'a>>(&mut self) -> T {
        self.try_read().expect("the function returns every field that its caller reads")
    }

    /// Reads the next field, which is itself a composite; `None` if it is null.
    ///
    /// # Panics
    /// If there is no next field, or it isn't a composite.
    pub(super) fn composite(&mut self) -> Option<Composite<'a>> {
        let (_, value) = self.next().expect("the function returns every field that its caller reads");
        value.map(|value| Self::try_from(value).expect("the field is a composite"))
    }

    fn try_read<T: FromSql<'a>>(&mut self) -> Result<T, Box<dyn Error + Sync + Send>> {
        let (oid, value) = self.next()?;
        // Other types are domains, all of which are over text or text[].
        let over = if T::accepts(&Type::TEXT) { Type::TEXT } else { Type::TEXT_ARRAY };
        let ty = Type::from_oid(oid).unwrap_or(over);
        if !T::accepts(&ty) {
            return Err("the field has another type".into());
        }
        T::from_sql_nullable(&ty, value)
    }

    /// Returns the type's OID and the value of the next field.
    fn next(&mut self) -> Result<(u32, Option<&'a [u8]>), &'static str> {
        let (oid, rest) = self.0.split_first_chunk().ok_or("no more fields")?;
        let (length, rest) = rest.split_first_chunk().ok_or("the field has no length")?;
        // A null has the length -1.
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, rest) =
            rest.split_at_checked(length.unwrap_or_default()).ok_or("the field is cut off")?;
        self.0 = rest;
        Ok((u32::from_be_bytes(*oid), length.map(|_| value)))
    }
}
