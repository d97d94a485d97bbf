//! What the products of layers are computed in.

crate::choices! {
    /// What the products of layers are computed in. Weights, sums and everything that is no product are f32 either way.
    pub enum Precision {
        /// f32 throughout.
        F32 = "f32",
        /// Operands rounded to bf16, their products added up in f32.
        Bf16 = "bf16",
    }
}
