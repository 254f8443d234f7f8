// The camera, where the browser has one and lets this page use it.

import { canvasOf } from "./board.js";

const dialog = document.getElementById("viewfinder");
const video = document.getElementById("video");

// taken(blob): a picture was taken. failed(sentence): there is none, and why.
export async function offerCamera(button, { taken, failed }) {
  const devices = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
  if (!devices.some((device) => device.kind === "videoinput")) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "environment", width: { ideal: 1920 } },
      });
      dialog.showModal();
    } catch (error) {
      failed(error.name === "NotAllowedError"
        ? "The camera may not be used: allow it in the browser, beside the address."
        : "The camera cannot be used: perhaps another program has it.");
    }
  });
  document.getElementById("shutter").addEventListener("click", () => {
    const canvas = canvasOf(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    dialog.close();
    canvas.toBlob((blob) => blob ? taken(blob) : failed("The camera gave no picture yet: try again."), "image/jpeg", 0.92);
  });
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
  });
}
