//! How large a picture is, and a small one of it.
//!
//! Decoding takes time and memory that the one who made the file chooses: both are bounded before
//! anything is decoded, and it is done where nobody else waits.

use std::io::Cursor;

use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder,
    imageops::FilterType, metadata::Orientation,
};

/// The longer side of a small picture: sharp in a column of messages on a dense screen.
const EDGE_MAX: u32 = 640;
/// Small pictures are looked at for a moment.
const JPEG_QUALITY: u8 = 80;

/// What was found out about a picture.
#[derive(Debug)]
pub(crate) struct Picture {
    /// In pixels, as it is to be shown.
    pub(crate) width: u32,
    /// The same.
    pub(crate) height: u32,
    /// A small one, JPEG or PNG, without what the original said of place and camera. `None`: it is too
    /// large to be decoded, or broken.
    pub(crate) small: Option<Bytes>,
}

/// Looks at a picture with at most so many pixels; takes a while. `None`: it is none.
pub(crate) fn look(bytes: &[u8], pixels_max: u64) -> Option<Picture> {
    let format = image::guess_format(bytes).ok()?;
    let known = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP];
    if !known.contains(&format) {
        return None;
    }
    let mut limits = Limits::default();
    // Four bytes for a pixel, the decoder's own work, and as much again.
    limits.max_alloc = Some(pixels_max.saturating_mul(8));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let turned = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (shown_width, shown_height) = if turned { (height, width) } else { (width, height) };
    if width == 0 || height == 0 {
        return None;
    }
    let small = (u64::from(width) * u64::from(height) <= pixels_max)
        .then(|| DynamicImage::from_decoder(decoder).ok())
        .flatten()
        .and_then(|picture| smaller(picture, orientation));
    Some(Picture { width: shown_width, height: shown_height, small })
}

fn smaller(picture: DynamicImage, orientation: Orientation) -> Option<Bytes> {
    let mut small = if picture.width().max(picture.height()) > EDGE_MAX {
        picture.resize(EDGE_MAX, EDGE_MAX, FilterType::Triangle)
    } else {
        picture
    };
    small.apply_orientation(orientation);
    let mut bytes = Vec::new();
    if small.color().has_alpha() {
        let small = DynamicImage::ImageRgba8(small.to_rgba8());
        small.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).ok()?;
    } else {
        let small = small.to_rgb8();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&small).ok()?;
    }
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, RgbaImage};

    use super::*;

    fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    #[test]
    fn a_picture_has_a_size_and_a_small_one() {
        let tall = RgbImage::from_fn(900, 1800, |x, y| Rgb([x as u8, y as u8, 7]));
        let tall = DynamicImage::ImageRgb8(tall);
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
            let found = look(&written(&tall, format), 2_000_000).unwrap();
            assert_eq!((found.width, found.height), (900, 1800), "{format:?}");
            let small = image::load_from_memory(&found.small.unwrap()).unwrap();
            assert_eq!((small.width(), small.height()), (320, 640), "{format:?}");
        }
        let clear = DynamicImage::ImageRgba8(RgbaImage::new(3, 2));
        let small = look(&written(&clear, ImageFormat::Png), 100).unwrap().small.unwrap();
        assert_eq!(
            image::guess_format(&small).unwrap(),
            ImageFormat::Png,
            "what is clear stays so"
        );
    }

    #[test]
    fn what_has_too_many_pixels_is_not_decoded() {
        let wide = DynamicImage::ImageRgb8(RgbImage::new(200, 100));
        let bytes = written(&wide, ImageFormat::Png);
        assert!(look(&bytes, 20_000).unwrap().small.is_some());
        let found = look(&bytes, 19_999).unwrap();
        assert_eq!((found.width, found.height, found.small), (200, 100, None));
        // A few bytes that claim to be the largest picture there can be.
        let mut bomb = bytes;
        bomb[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let crc = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(look(&bomb, 40_000_000).is_none_or(|found| found.small.is_none()));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
        })
    }

    #[test]
    fn what_is_broken_has_no_picture_and_does_no_harm() {
        assert!(look(b"", 100).is_none());
        assert!(look(b"<svg/>", 100).is_none());
        let bytes = written(&DynamicImage::ImageRgb8(RgbImage::new(64, 64)), ImageFormat::Png);
        for end in 0..bytes.len() {
            let _ = look(&bytes[..end], 10_000);
        }
    }
}
