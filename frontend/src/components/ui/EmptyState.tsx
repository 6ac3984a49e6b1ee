// What stands where there is nothing to show: what is the case, and what to do now.
import type { ReactNode } from "react";

interface EmptyStateProps {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}

export function EmptyState({ title, children, action }: EmptyStateProps) {
  return (
    <div className="m-auto flex max-w-[22rem] flex-col items-center gap-2 p-6 text-center">
      <h2 className="text-[1.0625rem] font-semibold">{title}</h2>
      {children !== undefined && <div className="text-muted">{children}</div>}
      {action !== undefined && <div className="mt-3">{action}</div>}
    </div>
  );
}
