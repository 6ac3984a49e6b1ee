import { screen, waitFor } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import type { World } from "../gallery/FakeClient";
import { renderWith } from "../test/renderWith";
import { Login, type LoginMode } from "./Login";

function show(mode: LoginMode = { at: "login" }, refusal: World["refusal"] = null, ended: { reason: "revoked" | "ended"; name: string } | null = null) {
  const onNavigate = vi.fn();
  const view = renderWith(<Login mode={mode} reason={ended?.reason ?? null} name={ended?.name ?? null} onNavigate={onNavigate} />, { refusal });
  return { ...view, onNavigate };
}

const problem = (code: string, retryAfterMs: number | null = null) => ({ code, retryAfterMs });

async function signIn({ user }: ReturnType<typeof show>) {
  await user.type(screen.getByLabelText("User name"), "mira");
  await user.type(screen.getByLabelText("Password"), "secret words");
  await user.click(screen.getByRole("button", { name: "Sign in" }));
}

describe("signing in", () => {
  it("hands over what was typed", async () => {
    const view = show();
    await signIn(view);
    expect(view.client.calls).toEqual([["signIn", "mira", "secret words"]]);
  });

  it.each([
    [problem("wrong_credentials"), "Wrong username or password."],
    [problem("rate_limited", 7000), "Too many attempts. Try again in 7 s."],
    [problem("network"), "Can’t reach the server. Check your connection and try again."],
    [problem("invalid"), "The server does not accept this. Check what you entered."],
  ])("says what went wrong and takes the focus there: %o", async (refusal, words) => {
    const view = show({ at: "login" }, refusal);
    await signIn(view);
    const message = screen.getAllByRole("alert").find((alert) => alert.textContent === words);
    expect(message).toBeDefined();
    await waitFor(() => expect(message).toHaveFocus());
    expect(screen.getByLabelText("Password")).toHaveValue("secret words");
  });

  it("after a session that ended by itself: the reason, the name, and the cursor in the password", () => {
    show({ at: "login" }, null, { reason: "revoked", name: "mira" });
    expect(screen.getByText("You have been signed out. Sign in again.", { selector: "p" })).toBeVisible();
    expect(screen.getByTestId("assertive")).toHaveTextContent("You have been signed out. Sign in again.");
    expect(screen.getByLabelText("User name")).toHaveValue("mira");
    expect(screen.getByLabelText("Password")).toHaveFocus();
  });

  it("shows and hides the password", async () => {
    const { user } = show();
    await user.click(screen.getByRole("button", { name: "Show password" }));
    expect(screen.getByLabelText("Password")).toHaveAttribute("type", "text");
    await user.click(screen.getByRole("button", { name: "Hide password" }));
    expect(screen.getByLabelText("Password")).toHaveAttribute("type", "password");
  });

  it("leads to sign-up", async () => {
    const { user, onNavigate } = show();
    await user.click(screen.getByRole("link", { name: "Create an account" }));
    expect(onNavigate).toHaveBeenCalledWith("/signup");
  });
});

describe("signing up", () => {
  it("uses the user name where no other is given", async () => {
    const { user, client } = show({ at: "signup" });
    await user.type(screen.getByLabelText("User name"), "mira");
    await user.type(screen.getByLabelText("Password"), "secret words");
    await user.click(screen.getByRole("button", { name: "Create account" }));
    expect(client.calls).toEqual([["signUp", "mira", "mira", "secret words"]]);
    expect(screen.getByLabelText("Password")).toHaveAttribute("autocomplete", "new-password");
  });

  it("says that a name is taken", async () => {
    const { user } = show({ at: "signup" }, problem("name_taken"));
    await user.type(screen.getByLabelText("User name"), "mira");
    await user.type(screen.getByLabelText("Password"), "secret words");
    await user.click(screen.getByRole("button", { name: "Create account" }));
    expect(await screen.findByText("This user name is taken. Choose another one.")).toBeVisible();
  });
});

describe("setting up", () => {
  it("takes the code from the address", async () => {
    const { user, client } = show({ at: "setup", code: "7K2M" });
    expect(screen.getByLabelText("Set-up code")).toHaveValue("7K2M");
    await user.type(screen.getByLabelText("User name"), "root");
    await user.type(screen.getByLabelText("Display name"), "The Admin");
    await user.type(screen.getByLabelText("Password"), "secret words");
    await user.click(screen.getByRole("button", { name: "Create administrator" }));
    expect(client.calls).toEqual([["setUp", "7K2M", "root", "The Admin", "secret words"]]);
  });
});
