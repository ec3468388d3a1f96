// Values that the sides send to each other.

/** The small object. */
export interface SmallObject {
  id: number;
  name: string;
  ok: boolean;
  pos: [number, number];
}

/** A small object with an id. */
export function smallObject(id: number): SmallObject {
  return { id, name: "isthmus", ok: true, pos: [1.5, -2.25] };
}

/** ipmpsc's frame of video. */
export interface YuvFrame {
  width: number;
  height: number;
  yStride: number;
  uStride: number;
  vStride: number;
  yPixels: Uint8Array;
  uPixels: Uint8Array;
  vPixels: Uint8Array;
}

/** A frame of so many pixels. */
export function yuvFrame(pixels: number): YuvFrame {
  const [width, height] = pixels === 6 ? [3, 2] : [3840, 2160];
  const halfWidth = width >> 1, halfHeight = height >> 1;
  return {
    width,
    height,
    yStride: width,
    uStride: halfWidth,
    vStride: halfWidth,
    yPixels: new Uint8Array(width * height).fill(128),
    uPixels: new Uint8Array(halfWidth * halfHeight).fill(192),
    vPixels: new Uint8Array(halfWidth * halfHeight).fill(255),
  };
}
