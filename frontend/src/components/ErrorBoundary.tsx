// Keeps a defect inside the pane where it happened: the rest of the app goes on working.
import { Component, type ReactNode } from "react";
import { Button } from "./ui/Button";
import { EmptyState } from "./ui/EmptyState";
import { t } from "../i18n/text";

interface ErrorBoundaryProps {
  children: ReactNode;
  /** Another key is another thing to show: worth a fresh try. */
  resetKey?: string;
  /** A way out of the pane, where the pane is the whole screen. */
  onBack?: () => void;
}

interface ErrorBoundaryState {
  error: Error | null;
  resetKey: string | undefined;
}

export class ErrorBoundary extends Component<ErrorBoundaryProps, ErrorBoundaryState> {
  override state: ErrorBoundaryState = { error: null, resetKey: this.props.resetKey };

  static getDerivedStateFromError(error: unknown): Partial<ErrorBoundaryState> {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  static getDerivedStateFromProps(props: ErrorBoundaryProps, state: ErrorBoundaryState): Partial<ErrorBoundaryState> | null {
    return props.resetKey === state.resetKey ? null : { error: null, resetKey: props.resetKey };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <div role="alert" className="flex h-full">
        <EmptyState
          title={t("app.broken")}
          action={
            <div className="flex flex-wrap justify-center gap-2">
              {this.props.onBack && <Button onClick={this.props.onBack} className="md:hidden">{t("common.back")}</Button>}
              <Button onClick={() => this.setState({ error: null })}>{t("app.reloadPane")}</Button>
            </div>
          }
        >
          <p>{t("app.brokenHint")}</p>
          <p dir="ltr" className="mt-2 font-mono text-meta break-words">{this.state.error.message}</p>
        </EmptyState>
      </div>
    );
  }
}
