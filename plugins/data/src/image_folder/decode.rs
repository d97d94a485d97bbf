//! From an image file to the bytes of one example.

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageReader, ImageResult, Limits};
use secateur::data::caught;
use secateur::error::{Error, Result};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

/// What every image is brought to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub height: usize,
    pub width: usize,
    pub grayscale: bool,
    /// Whether images of other sizes are scaled; refused otherwise.
    scaled: bool,
}

impl Form {
    /// Every image is scaled to this height and width.
    pub(super) fn square(size: usize, grayscale: bool) -> Self {
        Self { height: size, width: size, grayscale, scaled: true }
    }

    /// Every image has the size of this one.
    pub(super) fn of(path: &Path, grayscale: bool) -> Result<Self> {
        let reader = reader(path)?;
        let (width, height) = understood(path, || reader.into_dimensions())?;
        if u64::from(width) * u64::from(height) > most(path)? {
            let message = format!("its header promises {height}x{width} pixels, which no file of its size holds");
            return Err(Error::file(path, format!("{message}; replace or remove this image")));
        }
        Ok(Self { height: height as usize, width: width as usize, grayscale, scaled: false })
    }

    pub(super) fn channels(self) -> usize {
        if self.grayscale { 1 } else { 3 }
    }

    /// Bytes of one image.
    pub(super) fn item(self) -> usize {
        self.channels() * self.height * self.width
    }

    /// Tells forms apart in the cache.
    pub(super) fn key(self) -> [u8; 9] {
        let mut key = [u8::from(self.grayscale) | u8::from(!self.scaled) << 1; 9];
        // The width is the same, or follows from the content, which is part of the cache's key too.
        key[1..].copy_from_slice(&(self.height as u64).to_le_bytes());
        key
    }
}

/// What the pixels of an image may take whatever the size of its file. Its decoder takes more beside them: both together
/// stay under the 64 MB that a file may cost before anything in it was decoded.
const ROOM: u64 = 32 << 20;
/// The most bytes that a byte of a file can become: deflate's limit, which JPEG does not reach.
const RATIO: u64 = 1040;

/// Decodes an image, whatever its name says it is, into `pixels`, channel after channel. The decoder refuses one that
/// would take more than half a gigabyte (the limits of `image`), or so much more than its file that the file cannot
/// hold it: a header alone makes nobody reserve memory.
pub(super) fn decode(path: &Path, form: Form, pixels: &mut [u8]) -> Result<()> {
    let reader = reader(path)?;
    let image = understood(path, || reader.decode())?;
    let image = if form.scaled { crop(image, form.height as u32) } else { of_size(image, form, path)? };
    if form.grayscale {
        pixels.copy_from_slice(image.to_luma8().as_raw());
    } else {
        let plane = form.height * form.width;
        for (i, pixel) in image.to_rgb8().pixels().enumerate() {
            pixel.0.iter().enumerate().for_each(|(channel, &value)| pixels[channel * plane + i] = value);
        }
    }
    Ok(())
}

fn reader(path: &Path) -> Result<ImageReader<BufReader<File>>> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let (mut reader, most) = (reader.map_err(|reason| unreadable(path, &reason))?, most(path)?);
    let mut limits = Limits::default();
    limits.max_alloc = limits.max_alloc.map(|limit| limit.min(most));
    reader.limits(limits);
    Ok(reader)
}

/// What the pixels of a file may take: what a file of its size can hold.
fn most(path: &Path) -> Result<u64> {
    let length = path.metadata().map_err(|reason| unreadable(path, &reason))?.len();
    Ok(length.saturating_mul(RATIO).saturating_add(ROOM))
}

fn unreadable(path: &Path, reason: &io::Error) -> Error {
    Error::file(path, format!("cannot read it: {reason}"))
}

/// What a decoder makes of a file. Where it stumbles over one (some do, over damage that they did not think of), it is
/// that file which cannot be decoded.
fn understood<T>(path: &Path, decode: impl FnOnce() -> ImageResult<T>) -> Result<T> {
    let found = caught(decode).unwrap_or_else(|panic| Err(io::Error::other(panic).into()));
    found.map_err(|error| {
        // Some decoders end their reason with a line break.
        let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Error::file(path, format!("it cannot be decoded as JPEG or PNG ({reason}); replace or remove this image"))
    })
}

fn of_size(image: DynamicImage, form: Form, path: &Path) -> Result<DynamicImage> {
    let (height, width) = (image.height() as usize, image.width() as usize);
    if (height, width) == (form.height, form.width) {
        return Ok(image);
    }
    let (first_height, first_width) = (form.height, form.width);
    let message = format!(
        "it has {height}x{width} pixels (height x width), but the first image has {first_height}x{first_width}; scale \
         all images to one size: set data.image-folder.size"
    );
    Err(Error::file(path, message))
}

/// The longer side of what is scaled, in shorter sides: nothing further out can reach the middle, and a picture of one
/// row would become gigabytes.
const REACH: u32 = 8;

/// Scales the shorter side to `side` and cuts out the middle; an image of that size stays as it is.
fn crop(image: DynamicImage, side: u32) -> DynamicImage {
    let image = without_ends(image);
    let (width, height) = (image.width(), image.height());
    let shorter = u64::from(width.min(height).max(1));
    let scaled = |length: u32| (u64::from(length) * u64::from(side)).div_ceil(shorter) as u32;
    let image = if shorter == u64::from(side) { image } else { scale(&image, scaled(width), scaled(height)) };
    let (left, top) = ((image.width() - side) / 2, (image.height() - side) / 2);
    if (image.width(), image.height()) == (side, side) { image } else { image.crop_imm(left, top, side, side) }
}

/// The middle of an image that is far longer than wide; as long as the whole, or one pixel less, modulo two, so that
/// its middle is the same.
fn without_ends(image: DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let most = width.min(height).max(1).saturating_mul(REACH);
    let cut = |length: u32| if length > most { (length - most) / 2 } else { 0 };
    let (left, top) = (cut(width), cut(height));
    if (left, top) == (0, 0) { image } else { image.crop_imm(left, top, width - 2 * left, height - 2 * top) }
}

/// The triangle filter averages over everything that falls into a pixel when it shrinks: no aliasing.
fn scale(image: &DynamicImage, width: u32, height: u32) -> DynamicImage {
    match image {
        DynamicImage::ImageLuma8(gray) => imageops::resize(gray, width, height, FilterType::Triangle).into(),
        _ => imageops::resize(&image.to_rgb8(), width, height, FilterType::Triangle).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, LumaA, Rgb, RgbImage};
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn saved(image: DynamicImage, name: &str) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        image.save(&path).unwrap();
        (dir, path)
    }

    fn decoded(image: DynamicImage, name: &str, size: usize, grayscale: bool) -> Vec<u8> {
        let (_dir, path) = saved(image, name);
        let form = Form::square(size, grayscale);
        let mut pixels = vec![0; form.item()];
        decode(&path, form, &mut pixels).unwrap();
        pixels
    }

    #[test]
    fn channels_are_planes_and_an_image_of_the_size_is_unchanged() {
        let image = RgbImage::from_fn(2, 2, |x, y| Rgb([x as u8, 10 + y as u8, 20]));
        assert_eq!(decoded(image.into(), "a.png", 2, false), [0, 1, 0, 1, 10, 10, 11, 11, 20, 20, 20, 20]);
    }

    #[test]
    fn the_middle_of_the_longer_side_is_kept() {
        // 6 x 2: the columns are 0, 10, .. 50; the middle two stay.
        let image = GrayImage::from_fn(6, 2, |x, _| Luma([10 * x as u8]));
        assert_eq!(decoded(image.clone().into(), "a.png", 2, true), [20, 30, 20, 30]);
        assert_eq!(decoded(imageops::rotate90(&image).into(), "a.png", 2, true), [20, 20, 30, 30]);
    }

    #[test]
    fn shrinking_averages_and_every_size_fits() {
        let stripes = GrayImage::from_fn(64, 64, |x, _| Luma([if x % 2 == 0 { 0 } else { 200 }]));
        let small = decoded(stripes.into(), "a.png", 8, true);
        assert!(small.iter().all(|&v| (95..=105).contains(&v)), "{small:?}");
        for (width, height) in [(1, 1), (3, 7), (101, 33), (178, 218), (33, 32), (1000, 2)] {
            let image = RgbImage::from_pixel(width, height, Rgb([9, 8, 7]));
            let pixels = decoded(image.into(), "a.png", 32, false);
            assert_eq!([pixels[0], pixels[1024], pixels[3071]], [9, 8, 7], "{width} x {height}");
        }
    }

    #[test]
    fn a_picture_of_one_column_costs_no_more_than_its_middle() {
        for (width, height) in [(1, 20_000), (20_000, 1), (20_001, 2)] {
            let image = GrayImage::from_fn(width, height, |x, y| Luma([if x.max(y) < 9_000 { 10 } else { 90 }]));
            assert_eq!(
                without_ends(image.clone().into()).width().max(without_ends(image.clone().into()).height()) / 8,
                width.min(height)
            );
            // It is the middle that is kept: all of it lies beyond the edge at 9,000.
            assert!(decoded(image.into(), "a.png", 512, true).iter().all(|&v| v == 90), "{width} x {height}");
        }
        // An image that is only long loses nothing that its middle was made from.
        let long = GrayImage::from_fn(90, 10, |x, y| Luma([(x * 7 + y * 3) as u8]));
        let expected = scale(&long.clone().into(), 54, 6).crop_imm(24, 0, 6, 6).to_luma8().into_raw();
        let found = decoded(long.into(), "a.png", 6, true);
        assert!(found.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1), "{found:?} {expected:?}");
    }

    #[test]
    fn gray_and_transparent_images_become_rgb() {
        let gray = GrayImage::from_pixel(2, 2, Luma([50]));
        assert_eq!(decoded(gray.into(), "a.jpg", 2, false), [50; 12]);
        let clear = image::ImageBuffer::from_pixel(3, 3, LumaA([60_u8, 7]));
        assert_eq!(decoded(DynamicImage::ImageLumaA8(clear), "a.png", 2, false), [60; 12]);
    }

    #[test]
    fn the_content_decides_the_format_not_the_name() {
        let (dir, path) = saved(GrayImage::from_pixel(2, 2, Luma([50])).into(), "a.png");
        let renamed = dir.path().join("a.jpg");
        std::fs::rename(path, &renamed).unwrap();
        let mut pixels = [0; 4];
        decode(&renamed, Form::square(2, true), &mut pixels).unwrap();
        assert_eq!(pixels, [50; 4]);
    }

    /// A PNG whose checksums are those of its chunks.
    fn summed(mut png: Vec<u8>) -> Vec<u8> {
        let mut at = 8;
        while let Some(length) = png.get(at..at + 4).map(|l| u32::from_be_bytes([l[0], l[1], l[2], l[3]]) as usize) {
            let end = at.saturating_add(8).saturating_add(length);
            let Some(chunk) = png.get(at + 4..end) else { break };
            let mut crc = flate2::Crc::new();
            crc.update(chunk);
            png.iter_mut().skip(end).zip(crc.sum().to_be_bytes()).for_each(|(to, byte)| *to = byte);
            at = end + 4;
        }
        png
    }

    #[test]
    fn a_reader_bears_images_that_nobody_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let file = |image: DynamicImage, name: &str| {
            let path = dir.path().join(name);
            image.save(&path).unwrap();
            std::fs::read(path).unwrap()
        };
        let colours = RgbImage::from_fn(19, 13, |x, y| Rgb([(x * 13) as u8, (y * 19) as u8, (x * y) as u8]));
        let gray = GrayImage::from_fn(16, 16, |x, y| Luma([(x * y) as u8]));
        let deep = image::ImageBuffer::from_fn(7, 9, |x, y| LumaA([(x * 9000) as u16, (y * 7000) as u16]));
        let png: Vec<Vec<u8>> = [colours.clone().into(), gray.clone().into(), DynamicImage::ImageLumaA16(deep)]
            .map(|image| file(image, "whole.png"))
            .into();
        let jpeg = [colours.into(), gray.into()].map(|image| file(image, "whole.jpg"));
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let mut decoded = 0;
            for form in [Some(Form::square(8, true)), Form::of(&path, false).ok()].into_iter().flatten() {
                // The caller has the room for it, or says that it has not.
                if form.item() > 1 << 20 {
                    continue;
                }
                let mut pixels = vec![0; form.item()];
                decoded += decode(&path, form, &mut pixels).map_or(0, |()| form.item());
            }
            decoded
        };
        secateur_fuzz::bears("png", &png, |bytes| read(&summed(bytes.to_vec())));
        secateur_fuzz::bears("jpeg", &jpeg, read);
    }

    #[test]
    fn a_decoder_that_panics_costs_one_image() {
        let text = understood(Path::new("a/b.jpg"), || -> ImageResult<()> { panic!("no {}", "block") }).unwrap_err();
        let expected = "a/b.jpg: it cannot be decoded as JPEG or PNG (no block); replace or remove this image";
        assert_eq!(text.to_string(), expected);
    }

    #[test]
    fn a_header_alone_reserves_no_memory() {
        let mut png = Vec::new();
        let image = DynamicImage::from(GrayImage::new(3, 3));
        image.write_to(&mut io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
        // Its height and width; four bytes a pixel would be 400 MB.
        png[16..24].copy_from_slice(&[0, 0, 39, 16, 0, 0, 39, 16]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        std::fs::write(&path, summed(png)).unwrap();
        let text = decode(&path, Form::square(8, true), &mut [0; 64]).unwrap_err().to_string();
        assert!(text.contains("a.png") && text.contains("limit"), "{text}");
    }
}
