//! Values on their way to the server and back, in its binary format. The schema has BIGINT, TEXT and BYTEA alone; what a
//! query computes may be a smaller integer.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::store::engine::Value;

type BoxError = Box<dyn Error + Sync + Send>;

/// The types that a value can have there.
fn known(ty: &Type) -> bool {
    [Type::INT8, Type::INT4, Type::TEXT, Type::BYTEA].contains(ty)
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(value), ty) if *ty == Type::INT8 => value.to_sql(ty, out),
            (Self::Int(value), ty) if *ty == Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
            (Self::Text(text), ty) if *ty == Type::TEXT => text.as_str().to_sql(ty, out),
            (Self::Blob(bytes), ty) if *ty == Type::BYTEA => bytes.as_slice().to_sql(ty, out),
            _ => Err(format!("a value of another kind where the statement takes {ty}").into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        known(ty)
    }

    to_sql_checked!();
}

impl FromSql<'_> for Value {
    fn from_sql(ty: &Type, raw: &[u8]) -> Result<Self, BoxError> {
        match ty {
            ty if *ty == Type::INT8 => i64::from_sql(ty, raw).map(Self::Int),
            ty if *ty == Type::INT4 => i32::from_sql(ty, raw).map(|value| Self::Int(value.into())),
            ty if *ty == Type::TEXT => <&str>::from_sql(ty, raw).map(Self::from),
            _ => Ok(Self::from(raw)),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        known(ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(value: &Value, ty: &Type) -> Result<Value, BoxError> {
        let mut out = BytesMut::new();
        match value.to_sql(ty, &mut out)? {
            IsNull::Yes => Value::from_sql_null(ty),
            IsNull::No => Value::from_sql(ty, &out),
        }
    }

    #[test]
    fn values_come_back_as_they_went() {
        for (value, ty) in [
            (Value::Null, Type::BYTEA),
            (Value::Int(i64::MIN), Type::INT8),
            (Value::Int(-7), Type::INT4),
            (Value::from("Zoë"), Type::TEXT),
            (Value::from([0, 255].as_slice()), Type::BYTEA),
        ] {
            assert_eq!(there_and_back(&value, &ty).unwrap(), value);
        }
    }

    #[test]
    fn a_value_of_another_kind_is_refused() {
        for (value, ty) in [
            (Value::from("1"), Type::INT8),
            (Value::Int(1), Type::TEXT),
            (Value::from("x"), Type::BYTEA),
            (Value::Int(i64::MAX), Type::INT4),
        ] {
            assert!(there_and_back(&value, &ty).is_err(), "{value:?} as {ty}");
        }
        assert!(!<Value as ToSql>::accepts(&Type::FLOAT8) && !<Value as FromSql<'_>>::accepts(&Type::JSON));
    }
}
