//! No compression: tokens pass through.

use secateur::prelude::*;

register!(Compressor, "none", NoCompression, "Leaves tokens as they are.");
