import { screen } from "@testing-library/react";
import { expect, it } from "vitest";
import type { FileInfo } from "../../model/types";
import { renderWith } from "../../test/renderWith";
import { MessageFiles } from "./MessageFiles";

const ID = `f_${"0".repeat(32)}`;

function show(change: Partial<FileInfo>) {
  const file: FileInfo = { id: ID, name: "x", type: "application/zip", size: 1_500_000, width: null, height: null, thumbnail: false, ...change };
  return renderWith(<MessageFiles files={[file]} mine={false} tabIndex={0} />);
}

it("shows a picture small, with its room kept before it is there", async () => {
  show({ name: "boat.png", type: "image/png", width: 1280, height: 640, thumbnail: true });
  const picture = screen.getByRole("img", { name: "boat.png" });
  expect(picture).toHaveAttribute("width", "320");
  expect(picture).toHaveAttribute("height", "160");
  expect(await screen.findByRole("link", { name: "Open boat.png" })).toHaveAttribute("href", `/files/${ID}/content`);
  expect(picture).toHaveAttribute("src", `/files/${ID}/thumbnail`);
});

it("plays sound and film in place", async () => {
  const { container, unmount } = show({ name: "a.mp3", type: "audio/mpeg" });
  expect(container.querySelector("audio")).toHaveAttribute("controls");
  unmount();
  const film = show({ name: "a.mp4", type: "video/mp4" });
  expect(film.container.querySelector("video")).toHaveAttribute("preload", "metadata");
  await screen.findByLabelText("a.mp4");
});

it.each(["image/svg+xml", "text/html", "application/pdf", "application/octet-stream"])("only offers %s to be saved", async (type) => {
  const { container } = show({ name: "evil.svg", type, width: 10, height: 10 });
  const link = await screen.findByRole("link", { name: /evil\.svg/ });
  expect(link).toHaveAttribute("download", "evil.svg");
  expect(link).toHaveTextContent("1.5 MB");
  expect(container.querySelector("img, audio, video, iframe, object, embed")).toBeNull();
});
