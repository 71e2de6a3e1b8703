//! List arguments. PostgreSQL's array types also accept multidimensional arrays; those are rejected.
#![allow(unsafe_code)]

use crate::error::Error;
use conductor::code::Code;
use pgrx::PgLogLevel;
use pgrx::callconv::{Arg, ArgAbi};
use pgrx::datum::FromDatum;
use pgrx::nullable::Nullable;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

/// A one-dimensional or empty array argument.
pub struct List<T>(pub Vec<Option<T>>);

impl<T> FromDatum for List<T>
where
    Vec<Option<T>>: FromDatum,
{
    unsafe fn from_polymorphic_datum(datum: Datum, is_null: bool, array_type: Oid) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the function is declared with an array here, which is detoasted.
        let dimensions = unsafe { (*pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>()).ndim };
        reject_multidimensional(dimensions);
        // SAFETY: as above.
        unsafe { Vec::from_polymorphic_datum(datum, false, array_type) }.map(List)
    }
}

/// Raises WF613 for a multidimensional array. Arguments are converted before the function runs, so it cannot return
/// this error itself.
pub fn reject_multidimensional(dimensions: i32) {
    if dimensions > 1 {
        let error =
            Error::refused(Code::INVALID_ARGUMENT, "an array must be one-dimensional", "Pass a one-dimensional array.");
        ErrorReport::from(error.with_detail(format!("It has {dimensions} dimensions."))).report(PgLogLevel::ERROR);
    }
}

// SAFETY: the declared SQL type is the actual one, except that no SQL is generated from it.
unsafe impl<T: SqlTranslatable> SqlTranslatable for List<T> {
    const TYPE_IDENT: &'static str = T::TYPE_IDENT;
    const TYPE_ORIGIN: TypeOrigin = T::TYPE_ORIGIN;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = <Vec<T>>::ARGUMENT_SQL;
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = <Vec<T>>::RETURN_SQL;
}

// SAFETY: the elements are copied out of the argument's datum.
unsafe impl<'fcx, T> ArgAbi<'fcx> for List<T>
where
    Vec<Option<T>>: FromDatum,
{
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller has made sure that it is not null.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or(List(Vec::new()))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: the function is declared with an array here.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}
