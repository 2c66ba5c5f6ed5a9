//! The room `analyse`.
