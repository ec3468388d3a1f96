//! What messages carry: the same values as on all sides.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct SmallObject {
    pub id: u32,
    pub name: String,
    pub ok: bool,
    pub pos: (f64, f64),
}

pub fn small_object(id: u32) -> SmallObject {
    SmallObject { id, name: "isthmus".to_owned(), ok: true, pos: (1.5, -2.25) }
}

/// The frame of ipmpsc's own measurement.
#[derive(Serialize, Deserialize)]
pub struct YuvFrame<'a> {
    pub width: u32,
    pub height: u32,
    pub y_stride: u32,
    pub u_stride: u32,
    pub v_stride: u32,
    #[serde(with = "serde_bytes", borrow)]
    pub y_pixels: &'a [u8],
    #[serde(with = "serde_bytes", borrow)]
    pub u_pixels: &'a [u8],
    #[serde(with = "serde_bytes", borrow)]
    pub v_pixels: &'a [u8],
}

/// The same with bytes of its own.
#[derive(Serialize, Deserialize)]
pub struct OwnedFrame {
    pub width: u32,
    pub height: u32,
    pub y_stride: u32,
    pub u_stride: u32,
    pub v_stride: u32,
    #[serde(with = "serde_bytes")]
    pub y_pixels: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub u_pixels: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub v_pixels: Vec<u8>,
}

pub fn owned_frame(pixels: usize) -> OwnedFrame {
    let (width, height) = if pixels == 6 { (3usize, 2usize) } else { (3840, 2160) };
    OwnedFrame {
        width: width as u32,
        height: height as u32,
        y_stride: width as u32,
        u_stride: width as u32 / 2,
        v_stride: width as u32 / 2,
        y_pixels: vec![128; width * height],
        u_pixels: vec![192; (width / 2) * (height / 2)],
        v_pixels: vec![255; (width / 2) * (height / 2)],
    }
}

impl OwnedFrame {
    pub fn borrowed(&self) -> YuvFrame<'_> {
        YuvFrame {
            width: self.width,
            height: self.height,
            y_stride: self.y_stride,
            u_stride: self.u_stride,
            v_stride: self.v_stride,
            y_pixels: &self.y_pixels,
            u_pixels: &self.u_pixels,
            v_pixels: &self.v_pixels,
        }
    }
}

pub fn look_at_object(object: &SmallObject) {
    std::hint::black_box(object.id as f64 + object.pos.0 + object.pos.1);
}

pub fn look_at_frame(width: u32, v_pixels: &[u8]) {
    std::hint::black_box(width + u32::from(v_pixels[0]));
}
