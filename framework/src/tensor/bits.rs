//! Whether results depend on the processor.

crate::choices! {
    /// Whether the bits of a result depend on the kind of processor: sums of products are added in the order that a
    /// processor's vectors suggest, or in one order everywhere.
    pub enum Bits {
        /// The widest vectors that the processor has; others add in another order.
        Fastest = "fastest",
        /// The same bits on every x86-64 processor with AVX2 and FMA.
        Portable = "portable",
    }
}
